"""Texts that lie on each other in a page, as a reader would see it: text of HTML and of SVG, in shadow roots too."""

from playwright.sync_api import Page

FIND = """
(tolerance) => {
  const parentOf = (node) => node.parentElement ?? (node.getRootNode().host || null);
  const within = (inner, outer) => {
    for (let element = inner; element; element = parentOf(element)) if (element === outer) return true;
    return false;
  };
  // What is left of a rectangle once everything around it has cut it; null if nothing can be seen.
  const visible = (element, rect) => {
    if (!element.checkVisibility()) return null; // closed details hide their content by other means
    let { left, top, right, bottom } = rect;
    for (let around = element; around; around = parentOf(around)) {
      const style = getComputedStyle(around);
      if (style.display === "none" || style.visibility !== "visible" || Number(style.opacity) === 0) return null;
      if (around === document.body || around === document.documentElement) continue; // they scroll the page itself
      if (around !== element && !(around instanceof SVGElement && !(around instanceof SVGSVGElement))) {
        const box = around.getBoundingClientRect();
        if (style.overflowX !== "visible") { left = Math.max(left, box.left); right = Math.min(right, box.right); }
        if (style.overflowY !== "visible") { top = Math.max(top, box.top); bottom = Math.min(bottom, box.bottom); }
      }
    }
    return right - left > 0 && bottom - top > 0 ? { left, top, right, bottom } : null;
  };
  const texts = [];
  const walk = (node) => {
    if (node.nodeType === Node.TEXT_NODE && node.data.trim() && node.parentElement) {
      const range = document.createRange();
      range.selectNodeContents(node);
      for (const rect of range.getClientRects()) {
        const seen = visible(node.parentElement, rect);
        if (seen) texts.push({ element: node.parentElement, text: node.data.trim().slice(0, 60), ...seen });
      }
    }
    if (node instanceof Element && ["SCRIPT", "STYLE", "NOSCRIPT", "TITLE"].includes(node.tagName)) return;
    if (node.shadowRoot) walk(node.shadowRoot);
    node.childNodes.forEach(walk);
  };
  walk(document.documentElement);
  texts.sort((one, other) => one.top - other.top);
  const found = new Set();
  texts.forEach((one, index) => {
    for (const other of texts.slice(index + 1)) {
      if (other.top > one.bottom - tolerance) break;
      const wide = Math.min(one.right, other.right) - Math.max(one.left, other.left);
      const high = Math.min(one.bottom, other.bottom) - Math.max(one.top, other.top);
      if (wide <= tolerance || high <= tolerance) continue;
      if (within(one.element, other.element) || within(other.element, one.element)) continue;
      found.add(`${one.text} × ${other.text} (${wide.toFixed(1)} × ${high.toFixed(1)})`);
    }
  });
  return { texts: texts.length, found: [...found] };
}
"""


def overlapping_texts(page: Page, tolerance: float = 2) -> list[str]:
    """Each pair of texts of different elements that share more than `tolerance` pixels in both directions.

    Only what can be seen counts: what a box cuts off, and what lies outside one that scrolls, does not. So that all of
    a page is looked at, it must not scroll inside: make the window as high as its content first.
    """
    result = page.evaluate(FIND, tolerance)
    assert result["texts"], "there is no text on the page"
    return result["found"]
