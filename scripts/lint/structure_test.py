#!/usr/bin/env python3
"""The structure check must refuse each kind of breach, one at a time."""

import subprocess
import tempfile
import unittest
from pathlib import Path

import structure


class StructureTest(unittest.TestCase):
    def breaches(self, files):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            subprocess.run(["git", "init", "-q", folder], check=True)
            for name, text in files.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return structure.check(root)[0]

    def test_accepts_a_tree_that_keeps_the_rules(self):
        self.assertEqual(self.breaches({"src/image/cut.cpp": '#include "base/error.h"\n#include <zstd.h>\n'}), [])

    def test_refuses_an_include_of_the_same_or_a_higher_rank(self):
        self.assertIn("may not include", self.breaches({"src/labs/a.cpp": '#include "gallery/b.h"\n'})[0])
        self.assertIn("may not include", self.breaches({"src/base/a.h": '#include "db/database.h"\n'})[0])

    def test_refuses_a_library_outside_its_owner(self):
        self.assertIn("belongs to", self.breaches({"src/api/a.cpp": "#include <soci/soci.h>\n"})[0])

    def test_refuses_a_slow_library_in_a_header_that_another_folder_includes(self):
        inner = {"src/db/a.h": "#include <soci/soci.h>\n", "src/db/a.cpp": '#include "db/a.h"\n'}
        self.assertEqual(self.breaches(inner), [])
        self.assertIn("brings soci", self.breaches({**inner, "src/ops/b.cpp": '#include "db/a.h"\n'})[0])

    def test_refuses_what_is_too_long(self):
        self.assertIn("asks to be two", self.breaches({"src/db/a.cpp": "\n" * 700})[0])
        long_function = "int f() {\n" + "  g();\n" * 120 + "}\n"
        self.assertIn("a function of", self.breaches({"src/db/a.cpp": long_function})[0])

    def test_refuses_a_test_that_is_built_into_no_program(self):
        source = {"src/db/a_test.cpp": "\n", "src/db/CMakeLists.txt": "atelier_test(db SOURCES a_test.cpp)\n"}
        self.assertEqual(self.breaches(source), [])
        self.assertIn("no CMakeLists.txt names it", self.breaches({"src/db/a_test.cpp": "\n"})[0])

    def test_refuses_a_folder_without_rank_and_text_of_one_machine(self):
        self.assertIn("has no rank", self.breaches({"src/stuff/a.cpp": "\n"})[0])
        self.assertIn("path of one machine", self.breaches({"docs/a.md": "see /wo" + "rk/main\n"})[0])


if __name__ == "__main__":
    unittest.main()
