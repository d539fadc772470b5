// Loads packs: bytes in script files. A page from the disk may load scripts, and may not read any other file.

type Waiting = { resolve: (bytes: Uint8Array) => void; reject: (error: Error) => void };

/** Packs that are kept once they were loaded, each of about 1 MB. */
const KEPT = 48;
const kept = new Map<string, Promise<Uint8Array>>();
const waiting = new Map<string, Waiting>();

window.presenceOnlyPack = (name, content) => {
  const asked = waiting.get(name);
  waiting.delete(name);
  if (asked) inflate(content).then(asked.resolve, asked.reject);
};

async function inflate(content: string): Promise<Uint8Array> {
  const text = atob(content), bytes = new Uint8Array(text.length);
  for (let i = 0; i < text.length; i++) bytes[i] = text.charCodeAt(i);
  const stream = new Blob([bytes]).stream().pipeThrough(new DecompressionStream("gzip"));
  return new Uint8Array(await new Response(stream).arrayBuffer());
}

/** The bytes of a pack such as "run_0/species_3". */
export function loadPack(name: string): Promise<Uint8Array> {
  const found = kept.get(name);
  if (found) {
    // What was asked for last is dropped last.
    kept.delete(name);
    kept.set(name, found);
    return found;
  }
  const loaded = new Promise<Uint8Array>((resolve, reject) => {
    waiting.set(name, { resolve, reject });
    loadScript(`data/${name}.js`).catch(reject);
  });
  kept.set(name, loaded);
  loaded.catch(() => kept.delete(name));
  if (kept.size > KEPT) kept.delete(kept.keys().next().value as string);
  return loaded;
}

/** Runs a script file of the folder. */
export function loadScript(path: string): Promise<void> {
  return new Promise((resolve, reject) => {
    const script = document.createElement("script");
    script.src = path;
    script.async = true;
    script.onload = () => { script.remove(); resolve(); };
    script.onerror = () => { script.remove(); reject(new Error(`${path} is missing from the folder of this page`)); };
    document.head.append(script);
  });
}
