"""Recall and precision against exact Jaccard, beside datasketch; clusters against all pairs."""

from __future__ import annotations

import random
import subprocess
import sys
import sysconfig
from itertools import combinations
from pathlib import Path

import datasketch
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wenlu.corpus import near_duplicates as module
from wenlu.corpus.near_duplicates import NUM_PERM, NearDuplicates, bands_for, near_duplicate_clusters, signatures, unite
from wenlu.corpus.record import Drop, Item, Record
from wenlu.corpus.shingles import jaccard, shingles
from wenlu.corpus.spool import Spool
from wenlu.corpus.step import Workroom
from wenlu.corpus.steps.near_dedup import STEP, NearDedupConfig

CHINESE = (
    "春江潮水连海平海上明月共潮生滟滟随波千万里何处春江无月明江流宛转绕芳甸月照花林皆似霰空里流霜不觉飞汀上白沙看不见"
    "江天一色无纤尘皎皎空中孤月轮江畔何人初见月江月何年初照人人生代代无穷已江月年年望相似不知江月待何人但见长江送流水"
)


def mutated(units: list[str], changes: int, chance: random.Random, words: list[str]) -> list[str]:
    result = list(units)
    for place in chance.sample(range(len(result)), changes):
        result[place] = chance.choice(words)
    return result


def english(count: int, seed: int = 0) -> list[str]:
    """Parts of the standard library, each followed by a copy with a few words changed."""
    chance = random.Random(seed)
    folder = Path(sysconfig.get_paths()["stdlib"])
    words = " ".join(path.read_text(encoding="utf-8") for path in sorted(folder.glob("[a-d]*.py"))).split()
    texts = []
    for i in range(count // 2):
        units = words[i * 150 : (i + 1) * 150]
        texts += [" ".join(units), " ".join(mutated(units, chance.randrange(9), chance, words))]
    return texts


def chinese(count: int, seed: int = 0) -> list[str]:
    chance = random.Random(seed)
    texts = []
    for _ in range(count // 2):
        units = chance.choices(CHINESE, k=200)
        texts += ["".join(units), "".join(mutated(units, chance.randrange(12), chance, list(CHINESE)))]
    return texts


def index_of(texts: list[str], threshold: float = 0.8, size: int = 5) -> NearDuplicates:
    index = NearDuplicates(threshold, size)
    index.add(signatures(shingles(texts, size)))
    return index


def clusters_of(texts: list[str], threshold: float = 0.8, size: int = 5) -> list[int]:
    return index_of(texts, threshold, size).clusters(lambda numbers: [texts[i] for i in numbers]).tolist()


def similar_pairs(texts: list[str], threshold: float, size: int = 5) -> set[tuple[int, int]]:
    sets = shingles(texts, size)
    distinct = [np.unique(sets[i]) for i in range(len(texts))]
    return {(i, j) for i, j in combinations(range(len(texts)), 2) if jaccard(distinct[i], distinct[j]) >= threshold}


def components(count: int, pairs: set[tuple[int, int]]) -> list[int]:
    """The first member of each one's component, by the plainest means: repeat until nothing changes."""
    first = list(range(count))
    before: list[int] = []
    while before != first:
        before = list(first)
        for i, j in pairs:
            first[i] = first[j] = min(first[i], first[j])
    return first


@pytest.mark.parametrize("make", [english, chinese])
@pytest.mark.parametrize("threshold", [0.5, 0.8])
def test_recall_and_precision_against_exact_jaccard(make: object, threshold: float) -> None:
    assert callable(make)
    texts = make(300)
    pairs = similar_pairs(texts, threshold)
    found = clusters_of(texts, threshold)
    together = {(i, j) for i, j in combinations(range(len(texts)), 2) if found[i] == found[j]}
    assert len(pairs) > 60, "the test needs near-duplicates to find"
    assert len(pairs & together) / len(pairs) >= 0.98
    linked = components(len(texts), pairs)
    transitive = {(i, j) for i, j in combinations(range(len(texts)), 2) if linked[i] == linked[j]}
    assert len(together & transitive) / len(together) >= 0.98


def test_datasketch_finds_no_pair_more_reliably() -> None:
    texts = english(300, seed=1)
    pairs = similar_pairs(texts, 0.8)
    lsh = datasketch.MinHashLSH(threshold=0.8, num_perm=NUM_PERM)
    sketches = []
    for i, text in enumerate(texts):
        sketch = datasketch.MinHash(NUM_PERM)
        sketch.update_batch([value.tobytes() for value in shingles([text], 5)[0]])
        sketches.append(sketch)
        lsh.insert(i, sketch)
    theirs = {(i, j) for i, sketch in enumerate(sketches) for j in lsh.query(sketch) if i < j}
    found = clusters_of(texts)
    ours = {(i, j) for i, j in pairs if found[i] == found[j]}
    assert len(ours) >= len(pairs & theirs)
    assert len(pairs - ours) <= 0.02 * len(pairs)


def test_signatures_estimate_jaccard_as_well_as_theory_says() -> None:
    texts = english(200, seed=2)
    sets = shingles(texts, 5)
    rows = signatures(sets)
    errors = [
        np.mean(rows[i] == rows[i + 1]) - jaccard(np.unique(sets[i]), np.unique(sets[i + 1]))
        for i in range(0, len(texts), 2)
    ]
    assert abs(float(np.mean(errors))) < 0.015
    assert float(np.std(errors)) < (0.25 / NUM_PERM) ** 0.5


@pytest.mark.skipif(sys.platform != "linux", reason="counts the threads of /proc")
def test_signatures_start_no_threads_which_a_fork_would_not_survive() -> None:
    """And pieces give what rensa gives for the whole, which does start threads."""
    program = """if True:
        import os, numpy, rensa
        from wenlu.corpus.near_duplicates import NUM_PERM, _SEED, signatures
        from wenlu.corpus.shingles import shingles
        texts = [f"{i} " * (1 + i % 50) for i in range(3000)] + [" ".join(map(str, range(100_000))), "end"]
        hashes = shingles(texts, 5)
        count = lambda: len(os.listdir("/proc/self/task"))
        before = count()
        found = signatures(hashes)
        assert count() == before, "threads were started"
        whole = rensa.RMinHash.digest_matrix_from_flat_token_hashes(
            hashes.values, hashes.offsets.astype(numpy.uint64), NUM_PERM, _SEED
        ).to_rows()
        assert numpy.array_equal(found, numpy.array(whole, numpy.uint32)), "pieces differ from the whole"
        assert count() > before, "rensa starts no threads any more: sketch all at once"
        """
    subprocess.run([sys.executable, "-c", program], check=True)


@pytest.mark.parametrize("threshold", [0.3, 0.5, 0.7, 0.8, 0.9, 0.99])
def test_a_pair_at_the_threshold_is_compared_with_the_promised_chance(threshold: float) -> None:
    bands, rows = bands_for(threshold)
    assert bands * rows <= NUM_PERM
    assert 1 - (1 - threshold**rows) ** bands >= module.CAUGHT_AT_THRESHOLD
    longer = rows + 1
    assert 1 - (1 - threshold**longer) ** (NUM_PERM // longer) < module.CAUGHT_AT_THRESHOLD


def test_doubtful_pairs_are_decided_by_their_exact_sets() -> None:
    chance = random.Random(3)
    words = [f"w{i}" for i in range(2000)]
    texts = []
    for _ in range(40):  # one word of 100 changed: 91 of 101 shingles in common, J = 0.901
        units = chance.sample(words, 100)
        changed = [*units]
        changed[50] = "other"
        texts += [" ".join(units), " ".join(changed)]
    expected = jaccard(*(np.unique(shingles([text], 5)[0]) for text in texts[:2]))
    assert expected == 91 / 101
    assert clusters_of(texts, 91 / 101) == [i - i % 2 for i in range(80)]
    assert clusters_of(texts, 91 / 101 + 1e-6) == list(range(80))


def test_a_chain_of_near_duplicates_is_one_cluster_named_after_its_first() -> None:
    words = [f"w{i}" for i in range(300)]
    texts = [" ".join(words[start : start + 200]) for start in range(0, 90, 15)]
    assert similar_pairs(texts, 0.8) == {(i, i + 1) for i in range(5)}
    assert clusters_of(texts) == [0] * 6


def test_thousands_of_equal_texts_are_one_cluster() -> None:
    assert set(clusters_of(["the same words over and over again"] * 3000 + ["something else entirely here"])) == {
        0,
        3000,
    }


def test_texts_that_share_nothing_stay_alone_and_no_text_has_no_cluster() -> None:
    assert clusters_of([f"{i} {i} a{i} b{i} c{i} d{i}" for i in range(500)]) == list(range(500))
    assert clusters_of([]) == []


def test_blocks_of_signatures_join_without_a_seam(monkeypatch: pytest.MonkeyPatch) -> None:
    texts = english(120, seed=4)
    whole = clusters_of(texts)
    monkeypatch.setattr(module, "_BLOCK", 7)
    monkeypatch.setattr(module, "_PAIRS", 3)
    monkeypatch.setattr(module, "_PAIRS_READ", 2)
    index = NearDuplicates(0.8, 5)
    for start in range(0, len(texts), 11):
        index.add(signatures(shingles(texts[start : start + 11], 5)))
    assert len(index) == len(texts)
    assert index.clusters(lambda numbers: [texts[i] for i in numbers]).tolist() == whole


@settings(max_examples=200, deadline=None)
@given(st.integers(1, 12), st.data())
def test_uniting_pairs_gives_their_components(count: int, data: st.DataObject) -> None:
    number = st.integers(0, count - 1)
    pairs = data.draw(st.lists(st.tuples(number, number), max_size=15))
    first = np.arange(count)
    unite(first, np.array([a for a, _ in pairs], np.int64), np.array([b for _, b in pairs], np.int64))
    assert first.tolist() == components(count, set(pairs))


def run(items: list[Item], workers: int = 1, **config: object) -> list[Item]:
    step = STEP.build(NearDedupConfig.model_validate(config), Workroom(workers=workers))
    return list(step(items))


def test_the_step_keeps_the_first_of_each_cluster_and_names_it_in_the_others() -> None:
    texts = english(20)
    drop = Drop(Record("x", "d"), "earlier", "reason")
    items: list[Item] = [
        Record(texts[0], "a", {"k": "v"}),
        drop,
        Record("", "e"),
        Record(texts[0] + " end", "b", {"k": "w"}),
    ]
    duplicate = Record(texts[0] + " end", "b", {"k": "w", "duplicate_of": "a"})
    assert run(items) == [*items[:3], Drop(duplicate, "near-dedup", "near-duplicate")]


def test_the_step_drops_nothing_more_the_second_time() -> None:
    items: list[Item] = [Record(text, str(i)) for i, text in enumerate(english(100))]
    kept = [item for item in run(items) if isinstance(item, Record)]
    assert 50 <= len(kept) < 100
    assert run([*kept]) == kept


def test_workers_change_nothing() -> None:
    items: list[Item] = [Record(text, f"{k} {i}") for k in range(30) for i, text in enumerate(english(100, seed=k % 3))]
    assert run(items, workers=2) == run(items)


def test_clusters_do_not_depend_on_the_order(tmp_path: Path) -> None:
    texts = english(200, seed=5)
    order = random.Random(0).sample(range(200), 200)

    def groups(numbers: list[int]) -> set[frozenset[int]]:
        with Spool(tmp_path) as spool:
            for number in numbers:
                spool.append(Record(texts[number], str(number)))
            first = near_duplicate_clusters(spool, threshold=0.6, size=5, workers=1).tolist()
        return {frozenset(n for n, f in zip(numbers, first, strict=True) if f == leader) for leader in first}

    assert groups(list(range(200))) == groups(order)
