"use strict";
(() => {
  const byId = (id) => document.getElementById(id);
  const data = JSON.parse(byId("data").textContent);
  const sound = byId("sound"), play = byId("play"), slider = byId("seek"), scroll = byId("scroll");
  const wide = byId("wide"), head = byId("head"), formHead = byId("form-head"), lanes = byId("lanes");
  const blocks = Array.from(document.querySelectorAll(".block"));
  const PLAY = "M8 5v14l11-7z", PAUSE = "M6 5h4v14H6zM14 5h4v14h-4z", STEP = 5;
  let silent = 0, lastBar = -1, lastSecond = -1, lastBlock = -1, lastX = 0, dragging = false;

  // Index of the last entry that is not above the value, at least 0.
  const place = (list, value) => {
    let low = 0, high = list.length - 1;
    while (low < high) {
      const middle = (low + high + 1) >> 1;
      if (list[middle] <= value) low = middle; else high = middle - 1;
    }
    return low;
  };
  const between = (from, to, value) => {
    const i = Math.min(place(from, value), from.length - 2);
    const share = (value - from[i]) / (from[i + 1] - from[i]);
    return to[i] + Math.min(1, Math.max(0, share)) * (to[i + 1] - to[i]);
  };
  // Seconds of the performance to place in the score (0..1), and back.
  const shareAt = (seconds) => between(data.clock.ms, data.clock.x, seconds * 1000) / data.scale;
  const secondsAt = (share) => Math.max(0, between(data.clock.x, data.clock.ms, share * data.scale) / 1000);

  const now = () => (sound ? sound.currentTime : silent);
  const duration = () => (sound && Number.isFinite(sound.duration) ? sound.duration : data.seconds);
  const clockText = (s) => `${Math.floor(s / 60)}:${String(Math.floor(s % 60)).padStart(2, "0")}`;

  // Turns the page before the playhead leaves it; who has scrolled away while it plays is left there.
  const follow = (x, jumped) => {
    const left = scroll.scrollLeft, room = scroll.clientWidth;
    const seen = lastX >= left && lastX <= left + room;
    if ((jumped && x < left + 0.02 * room) || ((jumped || seen) && x > left + 0.9 * room)) scroll.scrollLeft = x - 0.12 * room;
  };
  const show = (jumped) => {
    const seconds = now(), share = shareAt(seconds), x = share * wide.clientWidth;
    head.style.transform = `translateX(${x}px)`;
    formHead.setAttribute("x1", `${share * 100}%`);
    formHead.setAttribute("x2", `${share * 100}%`);
    if (!dragging) slider.value = seconds;
    follow(x, jumped);
    lastX = x;
    const bar = place(data.bars.x, share * data.scale + 0.5), block = place(data.sections.x, share * data.scale + 0.5);
    const second = Math.floor(seconds);
    if (second === lastSecond && bar === lastBar && block === lastBlock) return;
    lastSecond = second; lastBar = bar;
    byId("time").textContent = clockText(seconds);
    const where = [`bar ${data.bars.number[bar]}`, data.sections.name[block]].filter(Boolean).join(", ");
    byId("where").textContent = where;
    slider.setAttribute("aria-valuetext", `${clockText(seconds)}, ${where}`);
    if (block === lastBlock) return;
    lastBlock = block;
    blocks.forEach((b, i) => (i === block ? b.setAttribute("aria-current", "true") : b.removeAttribute("aria-current")));
  };
  const go = (seconds) => {
    const to = Math.min(Math.max(0, seconds), Math.max(0, duration() - 0.01));
    if (sound) sound.currentTime = to; else silent = to;
    show(true);
  };
  const toSection = (index) => go(secondsAt(data.sections.x[index] / data.scale));
  const step = (by) => {
    const here = place(data.sections.x, shareAt(now()) * data.scale + 0.5);
    const late = now() - secondsAt(data.sections.x[here] / data.scale) > 2; // then back means this section's start
    const to = by < 0 && late ? here : here + by;
    if (to < data.sections.x.length) toSection(Math.max(0, to));
  };
  const toggle = () => {
    if (!sound) return;
    if (sound.paused) sound.play().catch(() => byId("broken").removeAttribute("hidden")); else sound.pause();
  };
  const frame = () => {
    show(false);
    if (!sound.paused) requestAnimationFrame(frame);
  };
  const playing = (on) => {
    byId("icon").setAttribute("d", on ? PAUSE : PLAY);
    play.setAttribute("aria-label", on ? "Pause" : "Play");
  };

  if (sound) {
    sound.controls = false; // they are for those who let no script run
    sound.addEventListener("play", () => { playing(true); requestAnimationFrame(frame); });
    sound.addEventListener("pause", () => { playing(false); show(false); });
    sound.addEventListener("seeked", () => show(true));
    sound.addEventListener("durationchange", () => { slider.max = duration(); });
    sound.addEventListener("error", () => byId("broken").removeAttribute("hidden"));
    if (sound.error) byId("broken").removeAttribute("hidden");
    play.addEventListener("click", toggle);
  }
  byId("back").addEventListener("click", () => step(-1));
  byId("next").addEventListener("click", () => step(1));
  slider.addEventListener("input", () => { dragging = true; go(Number(slider.value)); });
  slider.addEventListener("change", () => { dragging = false; show(true); });
  lanes.addEventListener("click", (event) => {
    const box = lanes.getBoundingClientRect();
    go(secondsAt((event.clientX - box.left) / box.width));
  });
  blocks.forEach((block, index) => {
    block.addEventListener("click", () => toSection(index));
    block.addEventListener("keydown", (event) => {
      if (event.key !== "Enter" && event.key !== " ") return;
      event.preventDefault();
      event.stopPropagation();
      toSection(index);
    });
  });
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.altKey || event.metaKey || event.defaultPrevented) return;
    const own = event.target instanceof Element && event.target.closest("button, summary, a, [role=button]");
    if (event.key === " " && !own) toggle();
    else if (event.key === "ArrowRight") event.shiftKey ? step(1) : go(now() + STEP);
    else if (event.key === "ArrowLeft") event.shiftKey ? step(-1) : go(now() - STEP);
    else if (event.key === "Home") go(0);
    else return;
    event.preventDefault();
  });
  addEventListener("resize", () => show(false));
  show(false);
})();
