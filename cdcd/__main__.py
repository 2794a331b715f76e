"""Run the command line as ``python -m cdcd``."""

from cdcd.cli.start import main

raise SystemExit(main())
