/// The page's only script: it sorts and filters tables. Without it everything is readable.
enum PageScript {
  static let text: Markup = """
    'use strict';
    for (const table of document.querySelectorAll('table[data-sortable]')) {
      const body = table.tBodies[0], rows = Array.from(body.rows), heads = Array.from(table.tHead.rows[0].cells);
      const value = (row, index) => row.cells[index].dataset.v ?? row.cells[index].textContent.trim();
      heads.forEach((head, index) => {
        if (head.hasAttribute('data-fixed')) return;
        const isNumber = head.classList.contains('n'), order = isNumber ? ['descending', 'ascending'] : ['ascending', 'descending'];
        const button = document.createElement('button');
        button.type = 'button';
        button.append(...head.childNodes);
        head.append(button);
        button.addEventListener('click', () => {
          const next = [...order, null][(order.indexOf(head.getAttribute('aria-sort')) + 1) % 3];
          for (const other of heads) other.removeAttribute('aria-sort');
          if (next) head.setAttribute('aria-sort', next);
          const sign = next === 'descending' ? -1 : 1;
          const sorted = next === null ? rows : rows.slice().sort((one, two) => {
            const a = value(one, index), b = value(two, index);
            if (a === '' || b === '') return (a === '') - (b === '');
            return sign * (isNumber ? Number(a) - Number(b) : a.localeCompare(b, 'en', { numeric: true }));
          });
          body.append(...sorted);
        });
      });
      const controls = document.getElementById(table.dataset.sortable);
      if (!controls) continue;
      const input = controls.querySelector('input'), output = controls.querySelector('output');
      const texts = rows.map(row => row.textContent.toLowerCase());
      const filter = () => {
        const words = input.value.toLowerCase().split(/\\s+/).filter(Boolean);
        let shown = 0;
        rows.forEach((row, index) => {
          row.hidden = !words.every(word => texts[index].includes(word));
          if (!row.hidden) shown += 1;
        });
        output.textContent = words.length ? shown.toLocaleString('en') + ' of ' + rows.length.toLocaleString('en') : '';
      };
      input.addEventListener('input', filter);
      controls.hidden = false;
    }

    """

  /// The SHA-256 of ``text`` in base64. The page's policy allows no other script, so no text of a file can become one.
  static let digest = "ktRgRvzL1fxWsHt9GseQCdhpQDTY/y7D9kbniP8vcR8="
}
