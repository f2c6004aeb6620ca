"""The flags of a command line; apart from `cli`, since the library takes longer to import than the rest of that."""

from __future__ import annotations

from collections.abc import Sequence

from absl import flags

from tools.core.errors import UserError
from tools.core.parameters import Parameter


def parse_flags(known: Sequence[Parameter], argv: Sequence[str]) -> tuple[flags.FlagValues, list[str]]:
    """Returns the flags of a command line, apart from those of other code in the process, and the words that are none.

    Args:
        known: what flags there are, besides --help and --spec.
        argv: the program and the words of its command line.

    Raises:
        UserError: a flag is unknown, or has no value.
    """
    result = flags.FlagValues()  # type: ignore[no-untyped-call]
    result.set_gnu_getopt()  # flags may follow other words
    flags.DEFINE_boolean("help", False, "", flag_values=result, short_name="h")
    flags.DEFINE_string("spec", None, "", flag_values=result)
    for parameter in known:
        if parameter.type is bool:
            flags.DEFINE_boolean(parameter.name, None, "", flag_values=result)
        elif parameter.repeated:
            flags.DEFINE_multi_string(parameter.name, None, "", flag_values=result)
        else:
            flags.DEFINE_string(parameter.name, None, "", flag_values=result)
    try:
        return result, result(argv)[1:]
    except flags.Error as error:
        raise UserError(f"{error}; --help lists the flags") from error
