import sys

from medprobe.command import main

sys.exit(main())
