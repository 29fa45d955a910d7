"""The page's own Markdown, called by itself: text in pieces goes in, a document comes out."""

from playwright.sync_api import Page

RENDER = """async (pieces) => {
    const { Markdown } = await import("/web/markdown.js");
    const root = document.createElement("div");
    const markdown = new Markdown(root);
    for (const piece of pieces) markdown.append(piece);
    return root.innerHTML.replaceAll(' dir="auto"', "");
}"""

FRAGMENTS = [
    "word ", "*em*", "**st", "rong**", "`code`", "```\n", "```py\n", "~~~\n", "\n", "\n\n", "- item\n", "  - inner\n",
    "1. one\n", "> quote\n", "# head\n", "| a | b |\n", "|---|---|\n", "---\n", "===\n", "[l](https://x.y)", "<b>",
    "\\", "_", "~~", "![", "](", "https://x.y/z ", "  \n", "    ", "[x] ", "é🌊", "#", "|", "2) ",
    "[^a]", "[^b]", "[^a]: ", "<br>", "<sub>", "</sub>", "<kbd>", "</KBD>", r"\(x_1\)", r"\[", r"\]", "$$", "$x_i$", "$",
]  # fmt: skip


def render(page: Page, *pieces: str) -> str:
    return str(page.evaluate(RENDER, list(pieces)))


def differing(page: Page, cut: list[list[str]]) -> list[list[str]]:
    """Those texts that in pieces become another document than at once."""
    found: list[list[str]] = page.evaluate(
        """async (all) => {
            const { Markdown } = await import("/web/markdown.js");
            const render = (pieces) => {
                const root = document.createElement("div");
                const markdown = new Markdown(root);
                for (const piece of pieces) markdown.append(piece);
                return root.innerHTML;
            };
            return all.filter((pieces) => render(pieces) !== render([pieces.join("")]));
        }""",
        cut,
    )
    return found
