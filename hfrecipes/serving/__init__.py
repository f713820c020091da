"""serving: an HTTP service around a Predictor.

server.py     listens, and stops when it is told to
door.py       who may come in, and when; every request is counted
app.py        the paths
reading.py    the bytes of a request to a question, or a refusal in one line
background.py  what goes on while it serves
batching.py   questions of many requests to one batch, and to each request the answers to its own
served.py     the release that answers
monitoring.py  whether what is served is still like what its model was measured on
watching.py   another release in its place while requests come
"""
