// Tombolo: pan, zoom, expand, highlight, keys, type-ahead, copy. Everything here is also there without it, but pan and zoom.
"use strict";
(() => {
  const $ = (s, r = document) => r.querySelector(s), $$ = (s, r = document) => [...r.querySelectorAll(s)];
  const say = (text) => { const r = $("#say"); if (r) { r.textContent = ""; requestAnimationFrame(() => { r.textContent = text; }); } };

  const asking = (address, text) => address + (address.includes("?") ? "&" : "?") + "q=" + encodeURIComponent(text);

  // ---- picture
  function picture(fig) {
    const view = $(".view", fig), svg = view && $("svg.hops", view);
    if (!svg) return;
    const [, , W, H] = svg.getAttribute("viewBox").split(" ").map(Number), out = $("output", fig), cards = $$(".card", svg);
    const byId = new Map(cards.map((c) => [c.dataset.id, c]));
    let k = 1;
    const zoom = (to, cx = view.clientWidth / 2, cy = view.clientHeight / 2) => {
      to = Math.min(3, Math.max(0.25, to));
      const x = (view.scrollLeft + cx) / k, y = (view.scrollTop + cy) / k;
      k = to;
      svg.setAttribute("width", W * k); svg.setAttribute("height", H * k);
      view.scrollLeft = x * k - cx; view.scrollTop = y * k - cy;
      if (out) out.value = Math.round(k * 100) + " %";
    };
    // Fits the width, but never smaller than 82 %: a label stays readable, the rest scrolls.
    const fit = (least = 0.82) => zoom(Math.max(least, Math.min(1, view.clientWidth / W)), 0, 0);
    const acts = { in: () => zoom(k * 1.25), out: () => zoom(k / 1.25), fit: () => fit(0.25), one: () => zoom(1) };
    if (out) out.hidden = false;
    $$("[data-zoom]", fig).forEach((b) => { b.hidden = false; b.addEventListener("click", () => acts[b.dataset.zoom]()); });
    view.addEventListener("wheel", (e) => {
      if (!e.ctrlKey && !e.metaKey) return;
      e.preventDefault();
      const r = view.getBoundingClientRect();
      zoom(k * Math.exp(-e.deltaY / 300), e.clientX - r.left, e.clientY - r.top);
    }, { passive: false });
    let drag = null;
    view.addEventListener("pointerdown", (e) => {
      if (e.button || e.pointerType === "touch" || e.target.closest("a")) return;
      drag = [e.clientX + view.scrollLeft, e.clientY + view.scrollTop];
      view.setPointerCapture(e.pointerId); view.classList.add("drag");
    });
    view.addEventListener("pointermove", (e) => { if (drag) { view.scrollLeft = drag[0] - e.clientX; view.scrollTop = drag[1] - e.clientY; } });
    const drop = () => { drag = null; view.classList.remove("drag"); };
    view.addEventListener("pointerup", drop); view.addEventListener("pointercancel", drop);

    // The whole path to the root, on hover and on focus.
    const light = (card) => {
      $$(".on", svg).forEach((x) => x.classList.remove("on"));
      svg.classList.toggle("lit", !!card);
      if (!card) return;
      const on = new Set(), todo = [card.dataset.id];
      while (todo.length) {
        const c = byId.get(todo.pop());
        if (!c || on.has(c.dataset.id)) continue;
        on.add(c.dataset.id); todo.push(...c.dataset.up.split(" ").filter(Boolean));
      }
      on.forEach((id) => byId.get(id).classList.add("on"));
      const pills = $$(".pill", svg);
      $$(".edges > g", svg).forEach((bundle, i) => {
        const ends = $$("[data-to]", bundle).filter((e) => on.has(bundle.dataset.from) && on.has(e.dataset.to));
        if (ends.length) [bundle.firstElementChild, pills[i], ...ends].forEach((e) => e.classList.add("on"));
      });
    };
    cards.forEach((c) => {
      c.addEventListener("pointerenter", () => light(c)); c.addEventListener("pointerleave", () => light(null));
      c.addEventListener("focus", () => { if (c.matches(":focus-visible")) light(c); }); c.addEventListener("blur", () => light(null));
    });

    // One tab stop; arrows walk the columns.
    const columns = [];
    cards.forEach((c) => {
      const t = c.transform.baseVal.getItem(0).matrix, col = columns.find((g) => g.x === t.e) || columns[columns.push({ x: t.e, cards: [] }) - 1];
      col.cards.push({ c, y: t.f });
    });
    columns.sort((a, b) => a.x - b.x);
    let at = $(".card.sel", svg) || cards[0];
    cards.forEach((c) => c.setAttribute("tabindex", c === at ? "0" : "-1"));
    const go = (c) => {
      if (!c) return;
      at.setAttribute("tabindex", "-1"); at = c; at.setAttribute("tabindex", "0"); at.focus({ focusVisible: true });
      at.scrollIntoView({ block: "nearest", inline: "nearest" });
    };
    svg.addEventListener("keydown", (e) => {
      const ci = columns.findIndex((g) => g.cards.some((n) => n.c === at)), col = columns[ci].cards, i = col.findIndex((n) => n.c === at);
      const near = (g) => g && g.cards.reduce((a, b) => (Math.abs(b.y - col[i].y) < Math.abs(a.y - col[i].y) ? b : a)).c;
      const kid = cards.find((c) => c.dataset.up.split(" ").includes(at.dataset.id)), up = byId.get(at.dataset.up.split(" ")[0]);
      const to = { ArrowDown: () => col[i + 1]?.c, ArrowUp: () => col[i - 1]?.c, ArrowRight: () => kid || near(columns[ci + 1]), ArrowLeft: () => up || near(columns[ci - 1]), Home: () => cards[0], End: () => columns.at(-1).cards.at(-1).c }[e.key];
      if (to && !e.ctrlKey && !e.metaKey && !e.altKey) { e.preventDefault(); go(to()); }
    });
    fig.keys = (key) => ({ z: acts.in, Z: acts.out, 0: acts.fit, 1: acts.one }[key]);
    fit();
    // A tall picture opens where its chosen card stands, or its root.
    const b = at.getBoundingClientRect(), v = view.getBoundingClientRect();
    if (b.top > v.top + view.clientHeight - b.height) view.scrollTop += b.top - v.top - view.clientHeight / 2;
  }

  // ---- open a group, choose a card: the same address, only the picture and its side are taken from it;
  // Back closes it again.
  async function swap(href, push, id) {
    const pic = $("#pic");
    pic.setAttribute("aria-busy", "true");
    try {
      const r = await fetch(href, { headers: { Accept: "text/html" }, credentials: "same-origin" });
      if (!r.ok) throw new Error(r.status);
      const next = $("#pic", new DOMParser().parseFromString(await r.text(), "text/html"));
      if (!next) throw new Error("no picture");
      const view = $(".view", pic), at = [view.scrollLeft, view.scrollTop];
      if (push) history.pushState({ picture: true }, "", href);
      pic.replaceWith(next);
      const fig = $("figure", next);
      picture(fig);
      [$(".view", next).scrollLeft, $(".view", next).scrollTop] = at;
      say($("svg.hops", next).getAttribute("aria-label"));
      const card = id && $(`.card[data-entity="${CSS.escape(id)}"],.card[data-group="${CSS.escape(id)}"]`, next);
      (card || $(".card.sel", next) || $(".card", next)).focus({ preventScroll: true });
    } catch { location.href = href; }
  }
  document.addEventListener("click", (e) => {
    const a = e.target.closest("#pic a.card");
    if (!a || e.ctrlKey || e.metaKey || e.shiftKey || e.button) return;
    const to = new URL(a.getAttribute("href"), location.href);
    if (to.pathname !== location.pathname) return;
    e.preventDefault(); swap(to.href, true, a.dataset.entity || a.dataset.group);
  });
  addEventListener("popstate", () => { if ($("#pic")) swap(location.href, false); });

  // ---- type-ahead: the server sends <li role=option>; here only the choice moves.
  $$("[data-suggest]").forEach((input) => {
    const list = $("#list");
    let asked = 0, wait = 0;
    const options = () => $$("[role=option]", list);
    const show = (open) => {
      list.hidden = !open; input.setAttribute("aria-expanded", String(open));
      if (!open) input.removeAttribute("aria-activedescendant");
    };
    const pick = (all, at) => {
      all.forEach((o, n) => o.setAttribute("aria-selected", String(n === at)));
      input.setAttribute("aria-activedescendant", all[at].id); all[at].scrollIntoView({ block: "nearest" });
    };
    const ask = async () => {
      const text = input.value.trim(), turn = ++asked;
      if (!text) { show(false); return; }
      try {
        const r = await fetch(asking(input.dataset.suggest, text), { credentials: "same-origin" });
        // An answer that comes late must not replace a newer one.
        if (!r.ok || turn !== asked) return;
        list.replaceChildren(...new DOMParser().parseFromString(await r.text(), "text/html").body.childNodes);
        show(document.activeElement === input);
        say($("footer span", list)?.textContent || "");
      } catch { show(false); }
    };
    input.addEventListener("input", () => { clearTimeout(wait); wait = setTimeout(ask, 120); });
    input.addEventListener("keydown", (e) => {
      const all = list.hidden ? [] : options(), at = all.findIndex((o) => o.getAttribute("aria-selected") === "true");
      if (e.key === "ArrowDown" && !all.length) ask();
      else if (e.key === "ArrowDown" && all.length) { e.preventDefault(); pick(all, (at + 1) % all.length); }
      else if (e.key === "ArrowUp" && all.length) { e.preventDefault(); pick(all, (at < 1 ? all.length : at) - 1); }
      else if (e.key === "Enter" && at >= 0) { e.preventDefault(); location.href = all[at].dataset.href; }
      else if (e.key === "Escape" && !list.hidden) { e.preventDefault(); show(false); }
    });
    // A click in the list comes before the field is left.
    list.addEventListener("pointerdown", (e) => e.preventDefault());
    list.addEventListener("click", (e) => { const o = e.target.closest("[role=option]"); if (o) location.href = o.dataset.href; });
    input.addEventListener("blur", () => show(false));
  });

  // ---- completion: words of the server for what stands before the cursor; Tab takes one, Esc closes the list.
  $$("[data-complete]").forEach((area) => {
    const box = $("#complete"), list = $("ul", box);
    let words = [], begun = 0, at = 0, asked = 0, wait = 0;
    const show = () => {
      box.hidden = !words.length;
      list.replaceChildren(...words.map((word, n) => {
        const li = document.createElement("li");
        li.textContent = word; if (n === at) li.className = "on";
        // The field keeps its cursor.
        li.addEventListener("pointerdown", (e) => { e.preventDefault(); take(n); });
        return li;
      }));
    };
    const take = (n) => {
      const end = area.selectionStart;
      area.setRangeText(words[n] + " ", end - begun, end, "end");
      words = []; show(); ask();
    };
    const ask = () => {
      clearTimeout(wait);
      wait = setTimeout(async () => {
        const turn = ++asked, before = area.value.slice(0, area.selectionStart);
        try {
          const r = await fetch(asking(area.dataset.complete, before.slice(-4000)), { credentials: "same-origin" });
          if (!r.ok || turn !== asked) return;
          ({ words, begun } = await r.json()); at = 0; show();
          if (words.length) say(words.length + " words, Tab takes " + words[0]);
        } catch { words = []; show(); }
      }, 150);
    };
    area.addEventListener("input", ask);
    area.addEventListener("blur", () => { words = []; show(); });
    area.addEventListener("keydown", (e) => {
      if (!words.length || e.ctrlKey || e.metaKey || e.altKey) return;
      if (e.key === "Tab" && !e.shiftKey) { e.preventDefault(); take(at); }
      else if (e.key === "Escape") { e.preventDefault(); words = []; show(); }
      else if (e.key === "ArrowDown" || e.key === "ArrowUp") {
        e.preventDefault(); at = (at + (e.key === "ArrowDown" ? 1 : words.length - 1)) % words.length; show(); say(words[at]);
      }
    });
  });

  // ---- copy: the whole text, whatever is shown of it.
  if (navigator.clipboard) $$(".copy").forEach((b) => { b.hidden = false; });
  document.addEventListener("click", async (e) => {
    const b = e.target.closest(".copy");
    if (!b) return;
    const from = b.dataset.copy;
    try { await navigator.clipboard.writeText(from); } catch { return; }
    b.classList.add("done"); say("Copied"); setTimeout(() => b.classList.remove("done"), 1200);
  });

  // ---- keys; none while a text is being typed, none with Ctrl, Alt or Meta.
  let g = false;
  addEventListener("keydown", (e) => {
    const typing = e.target.closest("input:not([type=radio],[type=checkbox]),select,textarea,[contenteditable]");
    if (typing) {
      if (e.key === "Enter" && (e.ctrlKey || e.metaKey) && e.target.form) { e.preventDefault(); e.target.form.requestSubmit(); }
      return;
    }
    if (e.ctrlKey || e.metaKey || e.altKey) return;
    if (g) { g = false; const a = $(`[data-g="${CSS.escape(e.key)}"]`); if (a) { e.preventDefault(); a.click(); } return; }
    if (e.key === "g") { g = true; setTimeout(() => { g = false; }, 1500); return; }
    if (e.key === "/") { const s = $("[data-suggest]") || $(".find input"); if (s) { e.preventDefault(); s.focus(); s.select(); } return; }
    const fig = $("#picture"), act = fig?.keys?.(e.key);
    if (act) { e.preventDefault(); act(); return; }
    if ("+=-".includes(e.key)) {
      const hops = $$("input[name=hops]"), i = hops.findIndex((h) => h.checked), to = hops[e.key === "-" ? i - 1 : i + 1];
      if (to) { e.preventDefault(); to.checked = true; to.form.requestSubmit(); }
      return;
    }
    const link = $(`[data-key="${CSS.escape(e.key)}"]`);
    if (link) { e.preventDefault(); link.click(); }
  });
  $$("figure").forEach(picture);
})();
