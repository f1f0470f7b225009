'use strict';
// Takes the page anew every other second, and puts its main part in place of the
// one that is shown. What is opened stays open; while a text is selected, or the
// page is not seen, nothing is taken.
(() => {
  const every = 2000;
  const stale = document.getElementById('stale');
  let last = new Date();

  const show = (next) => {
    const opened = new Set([...document.querySelectorAll('details[open]')].map((d) => d.id));
    const focused = document.activeElement && document.activeElement.closest('details');
    for (const d of next.querySelectorAll('details')) {
      d.open = opened.has(d.id);
    }
    document.querySelector('main').replaceWith(next.querySelector('main'));
    document.querySelector('link[rel=icon]').href = next.querySelector('link[rel=icon]').href;
    document.title = next.title;
    const again = focused && document.getElementById(focused.id);
    if (again) {
      again.querySelector('summary').focus({preventScroll: true});
    }
  };

  const update = async () => {
    if (document.hidden || !getSelection().isCollapsed) {
      return;
    }
    try {
      const answer = await fetch('/', {cache: 'no-store', signal: AbortSignal.timeout(10000)});
      if (!answer.ok) {
        throw new Error(answer.status);
      }
      show(new DOMParser().parseFromString(await answer.text(), 'text/html'));
      last = new Date();
      stale.hidden = true;
    } catch {
      stale.textContent = 'no answer since ' + last.toLocaleTimeString() + '; what is shown is of then';
      stale.hidden = false;
    }
  };

  const turn = async () => {
    await update();
    setTimeout(turn, every);
  };
  setTimeout(turn, every);
})();
