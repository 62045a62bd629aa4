import { startSite } from "./helpers/site.ts";
import { writeFileSync, mkdtempSync } from "node:fs";
const dir = mkdtempSync("/tmp/bench-"); writeFileSync(dir+"/1k.html","x".repeat(1024));
const site = await startSite({after(){}} as never,{vhosts:[{name:"a.test",mounts:[{mountpoint:"/",keys:{origin:"file://"+dir}},{mountpoint:"/m",handle:(e)=>e.send(200,[["Content-Type","text/plain"]],"x".repeat(1024))}]}]});
setInterval(()=>{ site.logged.length=0; },100).unref();
console.log(site.port);
setTimeout(()=>process.exit(),Number(process.argv[2]??20000));
