"""Tests reading copyright files; the library license-expression reads the expressions."""

import re

import pytest
from license_expression import get_spdx_licensing  # type: ignore[import-untyped]

from tools.sbom.copyright import licenses_of
from tools.sbom.license_expression import parse_expression
from tools.sbom.license_notices import noticed_licenses

HEADER = "Format: https://www.debian.org/doc/packaging-manuals/copyright-format/1.0/\n"


@pytest.mark.parametrize(
    ("debian", "spdx"),
    [
        ("GPL-2", "GPL-2.0-only"),
        ("GPL-2+", "GPL-2.0-or-later"),
        ("gpl-3.0+", "GPL-3.0-or-later"),
        ("LGPL-2.1", "LGPL-2.1-only"),
        ("LGPL-2.1-or-later", "LGPL-2.1-or-later"),
        ("GFDL-NIV-1.3+", "GFDL-1.3-no-invariants-or-later"),
        ("Expat", "MIT"),
        ("Artistic", "Artistic-1.0-Perl"),
        ("BSD-3-clause", "BSD-3-Clause"),
        ("GPL-9", "LicenseRef-debian-GPL-9"),
        ("GPL-NIV-2", "LicenseRef-debian-GPL-NIV-2"),
        ("public-domain", "LicenseRef-debian-public-domain"),
        ("GPL-1+ or Artistic", "GPL-1.0-or-later OR Artistic-1.0-Perl"),
        ("GPL-2+ or Expat and ISC", "GPL-2.0-or-later OR MIT AND ISC"),
        ("GPL-2+ or Expat, and ISC", "(GPL-2.0-or-later OR MIT) AND ISC"),
        ("ISC and Expat, or Zlib", "ISC AND MIT OR Zlib"),
        ("(GPL-2+ or Expat) and ISC", "(GPL-2.0-or-later OR MIT) AND ISC"),
        ("ISC and ISC", "ISC"),
        ("GPL-2+ with OpenSSL exception", "LicenseRef-debian-GPL-2-or-later-with-OpenSSL-exception"),
        ("GPL-2+ with OpenSSL", "LicenseRef-debian-GPL-2-or-later-with-OpenSSL"),
        ("GPL-2 or", "LicenseRef-debian-GPL-2-or"),
        ("a license (see below", "LicenseRef-debian-a-license-see-below"),
        ("(" * 3000 + "MIT" + ")" * 3000, "LicenseRef-debian-MIT"),
        ("§", "LicenseRef-debian-unnamed"),
    ],
)
def test_expressions(debian: str, spdx: str) -> None:
    parsed = parse_expression(debian)
    assert parsed.text == spdx
    known = get_spdx_licensing()
    unknown = set(known.unknown_license_keys(parsed.text))
    assert unknown == parsed.custom.keys()
    assert known.parse(parsed.text, validate=False) is not None


def test_files() -> None:
    text = HEADER + (
        "License: Expat\n\n"
        "Files: *\nLicense: GPL-2+ or Artistic\n\n"
        "Files: a\nLicense: odd\n This is\n .\n odd.\n\n"
        "Files: b\nLicense: Expat and other\n\n"
        "License: other\n The other text.\n\n"
        "License: unused\n Not for a file.\n"
    )
    found = licenses_of(text)
    assert found.expression == (
        "(GPL-2.0-or-later OR Artistic-1.0-Perl) AND LicenseRef-debian-odd AND MIT AND LicenseRef-debian-other"
    )
    assert dict(found.custom) == {
        "LicenseRef-debian-odd": "This is\n.\nodd.",
        "LicenseRef-debian-other": "The other text.",
    }


@pytest.mark.parametrize("text", ["", " \n", HEADER])
def test_no_licenses(text: str) -> None:
    assert licenses_of(text).expression == ""


GPL = """\
 * This program is free software; you can redistribute it and/or modify
 * it under the terms of the GNU General Public License as published by
 * the Free Software Foundation; either version 2 of the License, or
 * (at your option) any later version.
"""
BSD = """\
# Redistribution and use in source and binary forms, with or without modification, are permitted provided that
# 1. Redistributions of source code must retain the above copyright notice.
# 2. Redistributions in binary form must reproduce the above copyright notice.
{more}# THIS SOFTWARE IS PROVIDED BY THE AUTHOR
"""
MIT = """\
Permission is hereby granted, free of charge, to any person obtaining a copy of this software and associated files.
The above copyright notice and this permission notice shall be included in all copies.
THE SOFTWARE IS PROVIDED "AS IS", WITHOUT WARRANTY. {more}
"""
ISC = "Permission to use, copy, modify, and/or distribute this software for any purpose with or without fee is hereby "
ISC += "granted"
LATER = "(at your option) any later version"
LIBRARY = GPL.replace("General", "Lesser General").replace("2 of the License", "2.1")
ADVERTISING = "# 3. All advertising materials must say so.\n# 4. endorse or promote products\n"


@pytest.mark.parametrize(
    ("text", "found"),
    [
        (GPL, ["GPL-2.0-or-later"]),
        (LIBRARY, ["LGPL-2.1-or-later"]),
        (GPL.replace("General", "Library General"), ["LGPL-2.0-or-later"]),
        (GPL.replace(f"either version 2 of the License, or\n * {LATER}", "version 3"), ["GPL-3.0-only"]),
        (GPL.replace(LATER, "one that the author names"), []),
        ("GNU Lesser General Public\nLicense, version 2.1 (or, at your option, any later)", ["LGPL-2.1-or-later"]),
        ("The GNU General Public License version 2 can be found in /usr/share/common-licenses/GPL-2.", []),
        (BSD.format(more=""), ["BSD-2-Clause"]),
        (BSD.format(more="# 3. The name may not be used to endorse or promote products.\n"), ["BSD-3-Clause"]),
        (BSD.format(more=ADVERTISING), ["BSD-4-Clause"]),
        (BSD.replace("must retain", "may retain").format(more=""), []),
        (MIT.format(more=""), ["MIT"]),
        (MIT.format(more="Except as contained in this notice, the name must not be used."), ["X11"]),
        (f"{ISC}, provided that the above copyright notice and this permission notice appear in all copies.", ["ISC"]),
        (f"{ISC}.", ["0BSD"]),
        (f"{ISC} to friends.", []),
        ("Licensed under the Apache License, Version 2.0 (the License)", ["Apache-2.0"]),
        ("This package was debianized by nobody.\n\nLicense: GPL-2\n", []),
        (GPL + MIT.format(more="") + BSD.format(more=""), ["BSD-2-Clause", "GPL-2.0-or-later", "MIT"]),
    ],
)
def test_plain_text(text: str, found: list[str]) -> None:
    """The text itself is one more license, since it may say more than what is found."""
    licenses = licenses_of(text)
    (reference, content), *others = licenses.custom
    assert (content, others) == (text, [])
    assert re.fullmatch(r"LicenseRef-debian-copyright-[0-9a-f]{16}", reference)
    assert licenses.expression == " AND ".join([*found, reference])
    assert set(get_spdx_licensing().unknown_license_keys(licenses.expression)) == {reference}


def test_time_does_not_grow_faster_than_a_file() -> None:
    for text in ("gnu general public license version 2 ", "* # | / ", f"{ISC} ", "under terms " * 3):
        assert noticed_licenses(text * 20000) == []
