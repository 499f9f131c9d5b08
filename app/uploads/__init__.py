"""Static checks of what strangers upload: format by content, never by file name; nothing is executed or decoded.

The gateway has neither torch nor Pillow, so a file that would harm them meets only parsers of a few lines here.
The runner checks again with the real libraries.
"""
