from __future__ import annotations

import pytest

from aquila import errors
from aquila.fallback import may_fall_back


@pytest.mark.parametrize(
    ("error", "may"),
    [
        (errors.RateLimitError("x", status_code=429), True),
        (errors.QuotaExceededError("x", status_code=429), True),
        (errors.OverloadedError("x", status_code=503), True),
        (errors.NotFoundError("x", status_code=404), True),
        (errors.PermissionDeniedError("x", status_code=403), True),
        (errors.ContextLengthError("x", status_code=400), True),
        (errors.ConnectionFailed("x"), True),
        (errors.StreamTruncated("x"), True),
        (errors.ProtocolError("x"), True),
        (errors.FirstChunkTimeout("x", seconds=1), True),
        (errors.TotalTimeout("x", seconds=1), False),
        (errors.AuthenticationError("x", status_code=401), False),
        (errors.BadRequestError("x", status_code=400), False),
        (errors.ConfigError("x"), False),
        (errors.CassetteMismatch("x"), False),
    ],
)
def test_another_model_makes_good_what_is_not_the_user_s_to_mend(
    error: errors.AquilaError, may: bool
) -> None:
    assert may_fall_back(error) is may
