"""Return the folder of the C headers, for extensions."""


def get_include() -> str:
    """Return the folder of the headers ``fastinit.h`` and ``fastinit_python.h``.

    Pass it to the compiler as an include folder (``-I``).

    Returns
    -------
    str
        The absolute path of the folder.

    Raises
    ------
    FileNotFoundError
        The headers are missing, as in a frozen application that does not include them.

    Notes
    -----
    Cython modules need no header: they find ``fastinit.c_api`` on Python's module search path.

    Examples
    --------
    >>> import fastinit
    >>> from pathlib import Path
    >>> (Path(fastinit.get_include()) / "fastinit.h").is_file()
    True
    """
    from importlib.resources import as_file, files  # it takes 4 ms, and few users need it

    # In an editable install the headers are elsewhere, where only the importer finds them.
    with as_file(files(__package__).joinpath("include", "fastinit.h")) as header:
        if header.is_file():
            return str(header.parent.absolute())
    raise FileNotFoundError(
        f"{header} is missing: install fastinit-kernels with its headers, or copy the folder "
        f"include of the same version there"
    )
