"""`python -m alphadrop` is the same as `alphadrop`."""

import sys

from alphadrop.cli import main

sys.exit(main())
