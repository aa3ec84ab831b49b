"""Tables for publication, from the records of runs: statistics, layout, formats. Knows neither networks nor Hydra."""
