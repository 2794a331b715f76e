"""Run the command line as ``python -m cdcd``."""

from cdcd.cli.main import main

raise SystemExit(main())
