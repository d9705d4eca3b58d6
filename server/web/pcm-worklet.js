// The microphone's sound as 16-bit PCM, a tenth of a second a message, off the page's own thread.

registerProcessor("pcm", class extends AudioWorkletProcessor {
  constructor() {
    super();
    this.samples = new Int16Array(sampleRate / 10);
    this.count = 0;
    this.peak = 0;
  }

  process([[channel]]) {
    for (const sample of channel || []) {
      const clipped = Math.max(-1, Math.min(1, sample));
      this.peak = Math.max(this.peak, Math.abs(clipped));
      this.samples[this.count++] = clipped * 32767;
      if (this.count === this.samples.length) {
        const full = this.samples.slice();
        this.port.postMessage({ pcm: full.buffer, peak: this.peak }, [full.buffer]);
        this.count = this.peak = 0;
      }
    }
    return true;
  }
});
