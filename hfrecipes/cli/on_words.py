"""Commands on word vectors: learn them, and ask them."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hfrecipes.cli.given import Out, Overrides, RecipeFile, load
from hfrecipes.errors import RecipeError, UserError


def vectors(recipe: RecipeFile, overrides: Overrides = None, out: Out = None) -> None:
    """Learn the vectors that a static recipe starts from, and train nothing else."""
    from hfrecipes import verbs
    from hfrecipes.locking import alone

    loaded, folder = load(recipe, overrides), out or Path("runs") / recipe.stem
    if loaded.origin is None:
        raise RecipeError(f"{loaded.name}.vectors", "says nothing of vectors to learn", "Write `vectors: word2vec`")
    with alone(folder):
        verbs.begin(loaded, folder)
    print(folder)


def words(
    where: Annotated[Path, typer.Argument(metavar="RUN", help="A run, or a text file of vectors.")],
    expressions: Annotated[list[str] | None, typer.Argument(metavar="[WORDS]...", help='Such as "king - man + woman".')] = None,
    count: Annotated[int, typer.Option(min=1, help="Neighbours to show.")] = 10,
    within: Annotated[
        list[str] | None, typer.Option("--within", metavar="TEXT", help="A text with the word: its vector there, in context.")
    ] = None,
    before: Annotated[
        bool, typer.Option("--before", help="The vectors as they were learned, not as training left them.")
    ] = False,
    analogies: Annotated[Path | None, typer.Option(metavar="FILE", help="Questions, four words a line: count the right.")] = None,
    pairs: Annotated[
        Path | None, typer.Option(metavar="FILE", help="Two words and how alike they are a line: Spearman's.")
    ] = None,
    out: Annotated[Path | None, typer.Option("-o", "--out", help="Write the vectors as text, in word2vec's format.")] = None,
) -> None:
    """The words nearest to a word or a sum of words; how many analogies come out, and how well likeness agrees with people's.
    With texts, a word's vectors in context beside its one without: `hfrecipes words RUN bank --within "…" --within "…"`."""
    from hfrecipes.dictionary import words_of
    from hfrecipes.words import agreement, read_pairs, read_questions, write_vectors

    if within:
        if before or analogies or pairs or out:
            raise UserError("--within", "asks for one word in texts and for nothing else", "Leave the other options out")
        in_context(where, expressions or [], within, count)
        return
    if not (expressions or analogies or pairs or out):
        raise UserError("words", "nothing is asked", 'Write words, such as "king - man + woman", or --analogies FILE')
    found = words_of(where, before)
    for expression in expressions or []:
        print(expression)
        for word, near in found.nearest(expression, count):
            print(f"  {near:.3f}  {word}")
    if analogies is not None:
        asked = read_questions(analogies)
        right, known = found.analogies(asked)
        chance = 1 / max(1, len(found.names))
        print(
            f"analogies: {right} of {known} ({right / max(1, known):.1%}; by chance {chance:.3%}), {len(asked) - known} unknown"
        )
    if pairs is not None:
        said, known = agreement(found, read_pairs(pairs))
        print(f"likeness: Spearman's {said:.3f} over {known} pairs")
    if out is not None:
        write_vectors(found, out)
        print(f"{len(found.names)} vectors in {out}")


def in_context(where: Path, asked: list[str], texts: list[str], count: int) -> None:
    """Print what a word's vectors in texts are near to. Raises UserError where it is not one word."""
    from hfrecipes.senses import senses

    if len(asked) != 1:
        raise UserError("words", f"{len(asked)} words are asked for in these texts", "Write one: words RUN bank --within TEXT")
    found = senses(where, asked[0], texts, count)
    for number, (text, near) in enumerate(zip(found.texts, found.near, strict=True)):
        like = "" if number == 0 else f"  {found.likeness[0, number]:.3f} to the first"
        print(f"{found.word} in: {text}{like}")
        for word, other, cosine in near:
            print(f"  {cosine:.3f}  {word}  in: {other:.80}")
    print(f"{found.word} anywhere, by its one vector without context")
    for word, cosine in found.static:
        print(f"  {cosine:.3f}  {word}")
