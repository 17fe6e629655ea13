"""What monitors and load balancers ask: ``path("...", include("fragcache.monitoring.urls"))``."""
