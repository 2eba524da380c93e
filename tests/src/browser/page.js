// What is wrong with the page as it is shown now: one line each.
(() => {
  const wrong = [];
  const named = (element) => {
    const text = element.textContent.trim().slice(0, 40);
    return `<${element.localName} class="${element.getAttribute('class') ?? ''}"> ${text}`;
  };
  const all = [...document.body.querySelectorAll('*')];

  // Nothing is wider than the page.
  const width = document.documentElement.clientWidth;
  const scrolls = document.documentElement.scrollWidth;
  if (scrolls > width) wrong.push(`sideways: the page is ${scrolls} wide in ${width}`);
  const isClipped = (element) => element.closest('.stacked thead') && getComputedStyle(element.closest('thead')).position === 'absolute';
  for (const element of all) {
    if (isClipped(element)) continue;
    const { left, right } = element.getBoundingClientRect();
    if (right > width + 1 || left < -1) wrong.push(`sideways: ${left} to ${right}: ${named(element)}`);
  }

  // Every text can be read: WCAG's contrast of 4.5 at least, whatever its size.
  const parts = (colour) => {
    const numbers = colour.match(/[\d.]+/g).map(Number);
    return { rgb: numbers.slice(0, 3), alpha: numbers.length > 3 ? numbers[3] : 1 };
  };
  const luminance = (rgb) => {
    const [r, g, b] = rgb.map((n) => n / 255).map((n) => (n <= 0.04045 ? n / 12.92 : ((n + 0.055) / 1.055) ** 2.4));
    return 0.2126 * r + 0.7152 * g + 0.0722 * b;
  };
  const behind = (element) => {
    for (let e = element; e; e = e.parentElement) {
      const { rgb, alpha } = parts(getComputedStyle(e).backgroundColor);
      if (alpha === 1) return rgb;
    }
    return [255, 255, 255];
  };
  const check = (element, style, what) => {
    const [front, back] = [luminance(parts(style.color).rgb), luminance(behind(element))];
    const ratio = (Math.max(front, back) + 0.05) / (Math.min(front, back) + 0.05);
    const alpha = parts(style.color).alpha * Number(style.opacity);
    if (ratio < 4.5 || alpha < 1) wrong.push(`contrast: ${ratio.toFixed(2)} of ${what}: ${named(element)}`);
  };
  let texts = 0;
  for (const element of all) {
    const style = getComputedStyle(element);
    const isText = [...element.childNodes].some((node) => node.nodeType === 3 && node.data.trim() !== '');
    if (isText && element.getClientRects().length > 0) {
      texts += 1;
      check(element, style, 'text');
    }
    const before = getComputedStyle(element, '::before');
    if (!['none', 'normal', '""'].includes(before.content)) check(element, before, 'label');
  }
  if (texts < 20) wrong.push(`texts: ${texts} alone`);

  // A heading leads to each part, and tables say what they are.
  if (document.querySelectorAll('h1').length !== 1) wrong.push('outline: not one h1');
  for (const part of document.querySelectorAll('section')) {
    if (!document.getElementById(part.getAttribute('aria-labelledby'))) wrong.push(`outline: a part without a name: ${named(part)}`);
  }
  for (const table of document.querySelectorAll('table')) {
    if (!table.caption?.textContent.trim()) wrong.push(`outline: a table without a caption: ${named(table)}`);
    for (const head of table.querySelectorAll('th')) {
      if (!head.scope) wrong.push(`outline: a head without a scope: ${named(head)}`);
    }
  }
  return wrong;
})()
