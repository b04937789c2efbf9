"""Which recorded interaction answers a request, and how a request that none answers has drifted."""
