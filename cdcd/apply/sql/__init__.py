"""How partitions of a batch become transactions of a server that speaks SQL; ``cdcd.apply`` tells the whole story."""
