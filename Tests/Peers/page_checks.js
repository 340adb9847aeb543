// Checks of a page like those of axe: returns a list of sentences, one for each fault.
(() => {
  const faults = [];
  const name = element => {
    const own = element.tagName.toLowerCase() + (element.id ? '#' + element.id : '');
    const text = (element.textContent || '').trim().slice(0, 30);
    return own + (text ? ' "' + text + '"' : '');
  };
  const isShown = element => element.checkVisibility({ visibilityProperty: true }) && element.getClientRects().length > 0;

  // Contrast of every text with the ground it stands on (WCAG 2.1, 1.4.3).
  const rgb = text => {
    const numbers = text.match(/[\d.]+/g).map(Number);
    return { r: numbers[0], g: numbers[1], b: numbers[2], a: numbers.length > 3 ? numbers[3] : 1 };
  };
  const luminance = ({ r, g, b }) => {
    const [x, y, z] = [r, g, b].map(value => {
      const part = value / 255;
      return part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4;
    });
    return 0.2126 * x + 0.7152 * y + 0.0722 * z;
  };
  const ground = element => {
    for (let at = element; at; at = at.parentElement) {
      const color = rgb(getComputedStyle(at).backgroundColor);
      if (color.a === 1) return color;
      if (color.a > 0) faults.push(name(at) + ' has a translucent ground, whose contrast is not known');
    }
    return { r: 255, g: 255, b: 255, a: 1 };
  };
  const walker = document.createTreeWalker(document.body, NodeFilter.SHOW_TEXT);
  const seen = new Set();
  let least = 21;
  for (let node = walker.nextNode(); node; node = walker.nextNode()) {
    const element = node.parentElement;
    if (!node.data.trim() || seen.has(element) || !isShown(element) || ['SCRIPT', 'STYLE', 'title', 'desc'].includes(element.tagName)) continue;
    seen.add(element);
    const style = getComputedStyle(element);
    const color = rgb(element instanceof SVGElement ? style.fill : style.color);
    const [light, dark] = [luminance(color), luminance(ground(element))].sort((a, b) => b - a);
    const ratio = (light + 0.05) / (dark + 0.05);
    least = Math.min(least, ratio);
    if (ratio < 4.5) faults.push(name(element) + ' has a contrast of ' + ratio.toFixed(2));
  }
  if (seen.size < 40) faults.push('only ' + seen.size + ' texts were seen');

  // Names, roles and structure.
  for (const input of document.querySelectorAll('input, select, textarea')) {
    if (!input.labels.length && !input.getAttribute('aria-label')) faults.push(name(input) + ' has no label');
  }
  for (const control of document.querySelectorAll('button, a')) {
    if (!control.textContent.trim()) faults.push(name(control) + ' has no text');
  }
  for (const region of document.querySelectorAll('[role=region], nav, section, article')) {
    const label = region.getAttribute('aria-label')
      || region.getAttribute('aria-labelledby')?.split(' ').map(id => document.getElementById(id)?.textContent).join(' ');
    if (!label?.trim()) faults.push(name(region) + ' has no name');
  }
  for (const frame of document.querySelectorAll('.scroll')) {
    if (frame.tabIndex !== 0) faults.push(name(frame) + ' cannot be scrolled with the keyboard');
  }
  let level = 0;
  for (const heading of document.querySelectorAll('h1, h2, h3, h4, h5, h6')) {
    const next = Number(heading.tagName[1]);
    if (next > level + 1) faults.push(name(heading) + ' skips a level');
    level = next;
  }
  if (document.querySelectorAll('h1').length !== 1) faults.push('there is not one h1');
  if (!document.querySelector('main')) faults.push('there is no main');
  for (const table of document.querySelectorAll('table')) {
    if (!table.caption || !table.tHead || !table.querySelector('thead th[scope=col]')) faults.push(name(table) + ' has no caption or no column headers');
    for (const row of table.tBodies[0].rows) {
      if (row.cells.length !== table.tHead.rows[0].cells.length) faults.push(name(row) + ' has another number of cells');
      if (!row.querySelector('th[scope=row]')) faults.push(name(row) + ' has no header');
    }
  }
  for (const drawing of document.querySelectorAll('svg')) {
    const isHidden = drawing.getAttribute('aria-hidden') === 'true';
    const [first, second] = drawing.children;
    if (!isHidden && !(first?.tagName === 'title' && second?.tagName === 'desc' && drawing.getAttribute('role') === 'img')) {
      faults.push(name(drawing) + ' has no title or no description');
    }
  }
  const ids = [...document.querySelectorAll('[id]')].map(element => element.id);
  if (new Set(ids).size !== ids.length) faults.push('an id occurs twice');

  // Nothing is wider than the page, except inside frames that scroll.
  const width = document.documentElement.clientWidth;
  if (document.documentElement.scrollWidth > width) faults.push('the page is ' + document.documentElement.scrollWidth + ' wide, the window ' + width);
  for (const element of document.body.querySelectorAll('*')) {
    if (element.closest('.scroll, .skip') && !element.matches('.scroll')) continue;
    const box = element.getBoundingClientRect();
    if (box.width > 0 && box.right > width + 0.5) faults.push(name(element) + ' ends at ' + box.right.toFixed(1) + ' of ' + width);
  }
  return { faults: faults.slice(0, 20), least, texts: seen.size };
})()
