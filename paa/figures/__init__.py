"""The figures of the paper, from what runs left behind: one figure a file, each a pure function from data to a page.

Nothing here opens a run: `paa.experiment.finished_run` takes the data from a run's files and network,
`analysis/make_figures.py` joins the two.
"""
