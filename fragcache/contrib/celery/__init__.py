"""For INSTALLED_APPS: workers of Celery do the batches of ``warm_fragments --enqueue``."""
