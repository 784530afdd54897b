"""Which certificates are believed when a service is spoken to over TLS.

Invariant: nothing is believed without a certificate that this machine, or else Mozilla's list, vouches for.
"""

from __future__ import annotations

import ssl


def trusted_context() -> ssl.SSLContext:
    """Return a context that believes what this machine believes."""
    context = ssl.create_default_context()
    if not context.cert_store_stats()["x509_ca"] and ssl.get_default_verify_paths().capath is None:
        # As where Python came from python.org and nobody installed its certificates.
        import certifi

        context.load_verify_locations(certifi.where())
    return context
