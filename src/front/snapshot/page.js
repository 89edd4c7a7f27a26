// The try-out page: two requests side by side, each with what its reply says.

const $ = (id) => document.getElementById(id);
const known = JSON.parse($("assets").textContent);

// Pictures of one pixel in formats that not every browser reads: what it can show is what an <img> would accept.
const PROBES = {
  "image/avif": "AAAAIGZ0eXBhdmlmAAAAAGF2aWZtaWYxbWlhZk1BMUIAAADybWV0YQAAAAAAAAAoaGRscgAAAAAAAAAAcGljdAAAAAAAAAAAAAAAAGxpYmF2aWYAAAAADnBpdG0AAAAAAAEAAAAeaWxvYwAAAABEAAABAAEAAAABAAABGgAAAB0AAAAoaWluZgAAAAAAAQAAABppbmZlAgAAAAABAABhdjAxQ29sb3IAAAAAamlwcnAAAABLaXBjbwAAABRpc3BlAAAAAAAAAAIAAAACAAAAEHBpeGkAAAAAAwgICAAAAAxhdjFDgQ0MAAAAABNjb2xybmNseAACAAIAAYAAAAAXaXBtYQAAAAAAAAABAAEEAQKDBAAAACVtZGF0EgAKCBgANogQEAwgMg8f8D///8WfhwB8+ErK42A=",
  "image/webp": "UklGRiIAAABXRUJQVlA4IBYAAAAwAQCdASoBAAEADsD+JaQAA3AAAAAA",
};

async function accepted() {
  const types = [];
  for (const [type, data] of Object.entries(PROBES)) {
    const image = new Image();
    image.src = `data:${type};base64,${data}`;
    try {
      await image.decode();
      types.push(type);
    } catch {
      // Not this one.
    }
  }
  return [...types, "image/*", "*/*;q=0.8"].join(",");
}

const accept = accepted();

// Request headers of a network that this machine does not have.
function testHints(network) {
  switch (network) {
    case "save": return { "Save-Data": "on" };
    case "4g": return { ECT: "4g" };
    case "3g": return { ECT: "3g" };
    case "2g": return { ECT: "2g" };
    default: return {};
  }
}

function bytes(n) {
  return n < 10_000 ? `${n} bytes` : `${(n / 1000).toFixed(1)} kB`;
}

function compared(got, asked) {
  const fewer = Math.round(100 - (100 * got) / asked);
  return `${Math.abs(fewer)} % ${fewer < 0 ? "more" : "fewer"} bytes`;
}

function describe(section, rows) {
  section.querySelector("dl").replaceChildren(
    ...rows.filter(([, value]) => value).flatMap(([name, value]) => {
      const [dt, dd] = [document.createElement("dt"), document.createElement("dd")];
      [dt.textContent, dd.textContent] = [name, value];
      return [dt, dd];
    }),
  );
}

// Fetches what an <img> would fetch, shows it, and says what came.
async function show(section, url, hints) {
  const link = section.querySelector(".url");
  [link.href, link.textContent] = [url, decodeURI(url)];
  section.classList.remove("failed");
  const started = performance.now();
  const reply = await fetch(url, { headers: { Accept: await accept, ...hints }, cache: "no-store" });
  const body = await reply.blob();
  const ms = performance.now() - started;
  const image = section.querySelector("img");
  if (!reply.ok) {
    section.classList.add("failed");
    image.removeAttribute("src");
    describe(section, [["reply", `${reply.status}`], ["why", await body.text()]]);
    return null;
  }
  if (Object.keys(hints).length > 0) {
    // Only a fetch can carry test hints.
    image.src = URL.createObjectURL(body);
  } else {
    image.src = url;
  }
  await image.decode().catch(() => {});
  if (image.src.startsWith("blob:")) {
    URL.revokeObjectURL(image.src);
  }
  describe(section, [
    ["size", `${image.naturalWidth} × ${image.naturalHeight} px`],
    ["format", reply.headers.get("Content-Type")],
    ["bytes", bytes(body.size)],
    ["time", `${ms.toFixed(0)} ms`],
    ["decision", reply.headers.get("X-Smart-Imaging-Reason")],
    ["saved", reply.headers.get("X-Smart-Imaging") && `${reply.headers.get("X-Smart-Imaging")} bytes by the format alone`],
    ["varies by", reply.headers.get("Vary")],
  ]);
  return body.size;
}

async function render() {
  const asset = $("asset").value.split("/").map(encodeURIComponent).join("/");
  const query = $("query").value.trim().replace(/^\?/, "");
  const network = $("network").value;
  const hints = testHints(network);
  const url = (...commands) => `/is/image/${asset}?${[query, ...commands].filter(Boolean).join("&")}`;
  const smart = ["bfc=on", $("dpr").value && `dpr=${$("dpr").value}`, network && "network=on"];
  history.replaceState(null, "", `#${$("asset").value}?${query}`);
  const [asked, got] = await Promise.all([
    show($("plain"), url("bfc=off", "dpr=off", "network=off"), {}),
    show($("smart"), url(...smart), hints),
  ]);
  $("smart").querySelector("h2").textContent = asked && got ? `Smart Imaging: ${compared(got, asked)}` : "Smart Imaging";
  document.body.dataset.rendered = String(Number(document.body.dataset.rendered ?? 0) + 1);
}

$("known").replaceChildren(...known.map((asset) => new Option(asset)));
const [asset, ...query] = decodeURIComponent(location.hash.slice(1)).split("?");
$("asset").value = asset || known[0];
$("query").value = query.join("?") || "hei=500&qlt=85&op_usm=1.75,0.3,2,0";
$("form").addEventListener("submit", (event) => {
  event.preventDefault();
  render();
});
for (const id of ["dpr", "network"]) {
  $(id).addEventListener("change", render);
}
render();
