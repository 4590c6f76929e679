export function Workbench() { return <h1>Workbench</h1>; }
