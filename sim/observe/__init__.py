"""What is observed of a run: histograms, time series, levels and their integrals."""
