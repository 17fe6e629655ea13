"""A site in processes of its own, whose fragments take a while where the environment says so."""

SECRET_KEY = "the-shop-signs-with-this"
NUMBERS = 20
#: From this number on a render takes SHOP_SECONDS.
SLOW_FROM = 4
