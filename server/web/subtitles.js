// Lines of speech as text and as SubRip. A line: {text, start_s, end_s, words: [{word, start, end}]}, seconds.

const MOST_S = 6;
const MOST_CHARS = 80;

function stamp(seconds) {
  const ms = Math.max(0, Math.round(seconds * 1000));
  const two = (value) => String(value).padStart(2, "0");
  return `${two(Math.floor(ms / 3600000))}:${two(Math.floor(ms / 60000) % 60)}:${two(Math.floor(ms / 1000) % 60)},${String(ms % 1000).padStart(3, "0")}`;
}

// A long line becomes several cues, cut between words whose times are known.
export function cues(line) {
  const words = line.words || [];
  if (!words.length || (line.end_s - line.start_s <= MOST_S && line.text.length <= MOST_CHARS)) {
    return [{ start_s: line.start_s, end_s: line.end_s, text: line.text }];
  }
  const found = [];
  for (const { word, start, end } of words) {
    const last = found.at(-1);
    if (last && end - last.start_s <= MOST_S && last.text.length + word.length < MOST_CHARS) {
      last.text += word.startsWith(" ") ? word : ` ${word}`;
      last.end_s = end;
    } else {
      found.push({ start_s: start, end_s: end, text: word.trim() });
    }
  }
  return found;
}

export function toSrt(lines) {
  const all = lines.flatMap(cues).filter((cue) => cue.text);
  return all.map((cue, at) => `${at + 1}\n${stamp(cue.start_s)} --> ${stamp(Math.max(cue.end_s, cue.start_s + 0.1))}\n${cue.text}\n`).join("\n");
}

export function toText(lines) {
  return lines.map((line) => `${line.text}\n`).join("");
}
