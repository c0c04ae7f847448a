"""The hand-written parts that data/build_corpus.py makes the corpus from."""
