"""Runs acme2certifier in this process: PORT, the directory with its files, and the port of the DNS server."""

import sys

import dns.resolver

port, directory, dns_port = int(sys.argv[1]), sys.argv[2], int(sys.argv[3])

# It can be told the address of a DNS server, and not the port.
reset = dns.resolver.Resolver.reset


def reset_with_port(resolver):
    reset(resolver)
    resolver.port = dns_port


dns.resolver.Resolver.reset = reset_with_port

from acme2certifier.share.acme2certifier_wsgi import application
from werkzeug.serving import run_simple

tls = (directory + "/tls.pem", directory + "/tls.key")
run_simple("127.0.0.1", port, application, threaded=True, ssl_context=tls)
