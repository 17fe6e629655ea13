"""Models whose mtime moves with every change that goes through the ORM.

* ``fields``: the column, and the expression that moves it
* ``models``: the abstract model, and what a save moves
* ``querysets``: what ``update()``, ``bulk_update()`` and the like move
* ``moves``: the rows of other models that move along, gathered and in order
* ``receivers``: deletions, and changes of many-to-many relations
* ``triggers``: what PostgreSQL does for what the ORM does not see
"""
