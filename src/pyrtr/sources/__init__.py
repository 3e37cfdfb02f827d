"""Where payload comes from: one module for each kind of datasource, and what they share in packages beside them.

A module here is a datasource, named in DATASOURCE as it is called itself, in capitals and without underscores;
`base` says what it has to offer.
"""
