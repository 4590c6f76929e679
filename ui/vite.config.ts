import react from "@vitejs/plugin-react";
import { defineConfig } from "vite";

export default defineConfig({
  base: "/app/",
  plugins: [react()],
  build: {
    outDir: "dist",
    target: "es2023",
    // Nothing is inlined as data:, the content security policy of the server only knows 'self'.
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
  },
});
