"""What demo.py is made of: ports, the cache server, child processes. No Django here."""
