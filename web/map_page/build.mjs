// Builds the page into a folder: npm run build -- <folder>. The same packages give the same bytes.
import { copyFileSync, mkdirSync, readFileSync, rmSync, writeFileSync } from "node:fs";
import { build } from "esbuild";

const out = process.argv[2] ?? "../../src/presence_only/reporting/map_page/static";
rmSync(out, { recursive: true, force: true });
mkdirSync(out, { recursive: true });

await build({
  entryPoints: { page: "src/main.ts", coast_50m: "src/coast_50m.ts" },
  outdir: out,
  bundle: true,
  minify: true,
  charset: "ascii",
  // A page from the disk may load plain scripts only, no modules.
  format: "iife",
  target: ["es2021"],
  legalComments: "none",
  loader: { ".png": "empty" },
  logLevel: "warning",
});
copyFileSync("src/index.html", `${out}/index.html`);

const licence = (name) => readFileSync(`node_modules/${name}/LICENSE`, "utf8").trim();
const version = (name) => JSON.parse(readFileSync(`node_modules/${name}/package.json`, "utf8")).version;
const part = (name, what) => `## ${name} ${version(name)}\n\n${what}\n\n\`\`\`text\n${licence(name)}\n\`\`\`\n`;
writeFileSync(
  `${out}/CREDITS.txt`,
  [
    "# Credits of the map page\n",
    "Coastlines and borders are those of [Natural Earth](https://www.naturalearthdata.com), in the public domain.\n",
    part("world-atlas", "Natural Earth's maps as TopoJSON: `countries-110m.json` and `countries-50m.json`."),
    part("leaflet", "The map: panning, zooming, keyboard and touch."),
    part("topojson-client", "Reads TopoJSON."),
    part("d3-geo", "Cuts the coasts along 180 degrees."),
    part("d3-array", "A dependency of d3-geo."),
    part("internmap", "A dependency of d3-array."),
  ].join("\n"),
);
