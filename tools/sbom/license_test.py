"""Tests reading copyright files; the library license-expression reads the expressions."""

import pytest
from license_expression import get_spdx_licensing  # type: ignore[import-untyped]

from tools.sbom.copyright import licenses_of
from tools.sbom.license_expression import parse_expression

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


@pytest.mark.parametrize(
    "text", ["", "This package was debianized by nobody.\n\nLicense: GPL-2\n", HEADER, "Format: 1.0\nLicense: ISC\n"]
)
def test_not_machine_readable(text: str) -> None:
    assert licenses_of(text).expression == ""
