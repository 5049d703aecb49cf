"""The folder of the C headers, for those who compile extensions."""


def get_include() -> str:
    """Return the folder of the headers ``fastinit.h`` and ``fastinit_python.h``.

    A compiler that gets it as a folder to include (``-I``) finds both.

    Returns
    -------
    str
        The absolute path of the folder.

    Raises
    ------
    FileNotFoundError
        The headers are not there, as in a frozen application that left them out.

    Notes
    -----
    Cython modules need no header: they find ``fastinit.c_api`` on the path of Python's modules.

    Examples
    --------
    >>> import fastinit
    >>> from pathlib import Path
    >>> (Path(fastinit.get_include()) / "fastinit.h").is_file()
    True
    """
    from importlib.resources import as_file, files  # takes 4 ms, which few calls need

    # In an editable install the headers are elsewhere, where only the importer finds them.
    with as_file(files(__package__).joinpath("include", "fastinit.h")) as header:
        if header.is_file():
            return str(header.parent.absolute())
    raise FileNotFoundError(
        f"{header} is not there: install fastinit-kernels with its headers, or copy the folder "
        f"include of the same version there"
    )
