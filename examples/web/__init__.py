"""A web application with several workers on one machine."""
