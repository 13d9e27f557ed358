"use strict";
// Draws what changes again: an element with data-live shows the answer of that address.
const EVERY_MS = 1000;
const PICTURE_MS = 3000;

const hideBroken = (root) => root.querySelectorAll("img[data-picture]").forEach((picture) => {
  const figure = picture.closest(".picture") ?? picture;
  picture.addEventListener("error", () => { figure.style.visibility = "hidden"; });
  picture.addEventListener("load", () => { figure.style.visibility = ""; });
  if (picture.complete && !picture.naturalWidth) figure.style.visibility = "hidden";
});

const pictureAddress = (picture) =>
  `${picture.dataset.picture}?${Math.floor(Date.now() / PICTURE_MS)}`;

// Pictures that are shown already stay until their successor has come, so that nothing flickers.
const drawn = (live, text) => {
  const template = document.createElement("template"); // loads nothing by itself
  template.innerHTML = text;
  const next = template.content;
  next.querySelectorAll("img[data-picture]").forEach((picture) => {
    const before = live.querySelector(`img[data-picture="${picture.dataset.picture}"]`);
    if (!before) return;
    const address = pictureAddress(before);
    if (!before.src.endsWith(address)) before.src = address;
    (picture.closest(".picture") ?? picture).replaceWith(before.closest(".picture") ?? before);
  });
  live.replaceChildren(...next.childNodes);
  hideBroken(live);
};

const refresh = async (live) => {
  const busy = document.hidden || live.contains(document.activeElement);
  const answer = busy ? null : await fetch(live.dataset.live).catch(() => null);
  if (answer?.ok) drawn(live, await answer.text());
  setTimeout(() => refresh(live), EVERY_MS);
};

hideBroken(document);
document.querySelectorAll("[data-live]").forEach((live) => setTimeout(() => refresh(live), EVERY_MS));
