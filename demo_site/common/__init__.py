"""What both sites show in the same way: the stylesheet's address and the cost of a page."""
