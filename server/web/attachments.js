// A file as a part of a chat's message: pictures and sound by their kind, all else as a document.

function read(file) {
  return new Promise((resolve, reject) => {
    const reader = new FileReader();
    reader.onload = () => resolve(reader.result);
    reader.onerror = () => reject(reader.error);
    reader.readAsDataURL(file);
  });
}

export async function attach(file) {
  const url = await read(file);
  return { name: file.name, size: file.size, part: partOf(file, url) };
}

function partOf(file, url) {
  if (/^image\/(png|jpeg|webp|gif)$/.test(file.type)) return { type: "image_url", image_url: { url } };
  if (file.type.startsWith("audio/")) return { type: "audio", audio: { url } };
  if (file.type.startsWith("video/")) return { type: "video_url", video_url: { url } };
  return { type: "file", file: { file_data: url.slice(url.indexOf(",") + 1), filename: file.name } };
}
