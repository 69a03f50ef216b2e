// One question at a time, always about the newest drawing: as live as the answers are fast.

import { ask } from "./answer.js";

const PATIENCE_MS = 12_000;
const AGAIN_MS = 1_000;
const REFUSED = [413, 415, 422]; // too large, or of a kind that only the browser reads

export class Asking extends EventTarget {
  #drawing;
  #version = 0; // of the drawing
  #asked = 0;
  isAsking = false; // as long as the newest drawing has no answer
  #waiting = null; // an AbortController while an answer is awaited

  constructor(drawing) {
    super();
    this.#drawing = drawing;
    drawing.addEventListener("change", () => {
      this.#version++;
      this.#go();
    });
    // what was there before is gone: an answer about it would be wrong
    drawing.addEventListener("replace", () => this.#waiting?.abort());
  }

  async #go() {
    if (this.isAsking) return;
    this.isAsking = true;
    while (this.#asked !== this.#version) {
      this.#asked = this.#version;
      await this.#askOnce();
    }
    this.isAsking = false;
  }

  async #askOnce() {
    if (this.#drawing.isBlank) return this.#tell("answer", null);
    const { signal } = (this.#waiting = new AbortController());
    const begin = performance.now();
    try {
      const { body, place } = await this.#drawing.snapshot();
      const answer = await ask(body, AbortSignal.any([signal, AbortSignal.timeout(PATIENCE_MS)]));
      signal.throwIfAborted();
      this.#tell("answer", { ...answer, place, ms: performance.now() - begin });
    } catch (error) {
      if (!signal.aborted) await this.#fail(error);
    }
  }

  async #fail(error) {
    if (REFUSED.includes(error.code) && this.#drawing.forgetFile()) return void this.#version++;
    this.#tell("problem", error.code ? error.message : "The server does not answer. Trying again…");
    if (error.code && error.code !== 503) return;
    await new Promise((resolve) => setTimeout(resolve, AGAIN_MS));
    this.#version++;
  }

  #tell(kind, detail) {
    this.dispatchEvent(new CustomEvent(kind, { detail }));
  }
}
